;; tick InvalidOutput: reading 0 (`d`): `NaN` is not a decimal
;; A gauge that is not a number.
(data (i32.const 256) "NaN")
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (call $reading (i32.const 0) (i32.const 1) (i32.const 256) (i32.const 3))
  (call $outcome (i32.const 1) (i32.const 0) (i32.const 0)))
