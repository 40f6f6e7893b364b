;; load InvalidOutput: its schema has 65537 bytes, more than 65536
;; A schema of one byte too much.
(func (export "tollkeeper:meter/describe@0.1.0#get-manifest") (result i32)
  (i32.store offset=0 (i32.const 640) (i32.const 512))
  (i32.store offset=4 (i32.const 640) (i32.const 7))
  (i32.store offset=8 (i32.const 640) (i32.const 519))
  (i32.store offset=12 (i32.const 640) (i32.const 1))
  (i32.store offset=32 (i32.const 640) (i32.const 1024))
  (i32.store offset=36 (i32.const 640) (i32.const 65537))
  (i32.const 640))
