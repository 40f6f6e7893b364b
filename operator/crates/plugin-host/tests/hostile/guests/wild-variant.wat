;; tick InvalidOutput
;; A reading that is neither counter nor gauge.
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (call $reading (i32.const 0) (i32.const 77) (i32.const 256) (i32.const 1))
  (call $outcome (i32.const 1) (i32.const 0) (i32.const 0)))
