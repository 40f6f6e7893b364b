;; tick ok
;; A dimension that the product does not have. The host does not know the product; the meter refuses the whole tick.
(data (i32.const 256) "1mystery")
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (call $reading (i32.const 0) (i32.const 1) (i32.const 256) (i32.const 1))
  (i32.store (i32.const 8192) (i32.const 257))
  (i32.store (i32.const 8196) (i32.const 7))
  (call $outcome (i32.const 1) (i32.const 0) (i32.const 0)))
