;; tick InvalidOutput: reading 0 (`a b`): the dimension `a b` is not
;; A dimension with a space in it.
(data (i32.const 256) "1a b")
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (call $reading (i32.const 0) (i32.const 1) (i32.const 256) (i32.const 1))
  (i32.store (i32.const 8192) (i32.const 257))
  (i32.store (i32.const 8196) (i32.const 3))
  (call $outcome (i32.const 1) (i32.const 0) (i32.const 0)))
