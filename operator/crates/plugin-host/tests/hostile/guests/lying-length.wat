;; tick InvalidOutput
;; Four thousand million readings, of which it has none.
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (call $outcome (i32.const -1) (i32.const 0) (i32.const 0)))
