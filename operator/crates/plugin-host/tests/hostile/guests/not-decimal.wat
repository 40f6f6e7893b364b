;; tick InvalidOutput: reading 0 (`d`): `1e9` is not a decimal
;; A number that other languages would read.
(data (i32.const 256) "1e9")
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (call $reading (i32.const 0) (i32.const 1) (i32.const 256) (i32.const 3))
  (call $outcome (i32.const 1) (i32.const 0) (i32.const 0)))
