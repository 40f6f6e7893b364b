;; tick InvalidOutput
;; Its outcome lies where nothing may lie that has numbers in it.
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (i32.const 1025))
