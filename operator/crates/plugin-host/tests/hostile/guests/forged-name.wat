;; load InvalidOutput: its name does not have 1 to 100 printable characters
;; A name with a line break, to forge lines of the log.
(data (i32.const 256) "a\0ab")
(func (export "tollkeeper:meter/describe@0.1.0#get-manifest") (result i32)
  (i32.store offset=0 (i32.const 640) (i32.const 256))
  (i32.store offset=4 (i32.const 640) (i32.const 3))
  (i32.store offset=8 (i32.const 640) (i32.const 519))
  (i32.store offset=12 (i32.const 640) (i32.const 1))
  (i32.const 640))
