;; tick ok
;; A counter that says 9 at its first tick and 3 at every other: a reset, as far as anybody can know.
(data (i32.const 256) "93")
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (call $reading (i32.const 0) (i32.const 0)
    (select (i32.const 257) (i32.const 256) (local.get 8)) (i32.const 1))
  (call $outcome (i32.const 1) (i32.const 256) (i32.const 1)))
