;; tick InvalidOutput: reading 1 (`d`): the source `s` is there twice with the same tags
;; Two totals of one counter: the same dimension, tags and source.
(data (i32.const 256) "12")
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (call $reading (i32.const 0) (i32.const 0) (i32.const 256) (i32.const 1))
  (call $reading (i32.const 1) (i32.const 0) (i32.const 257) (i32.const 1))
  (call $outcome (i32.const 2) (i32.const 0) (i32.const 0)))
