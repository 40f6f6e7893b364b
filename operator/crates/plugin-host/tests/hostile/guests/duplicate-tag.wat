;; tick InvalidOutput: reading 0 (`d`): the tag `k` is given twice
;; One key with two values.
(data (i32.const 256) "1kab")
(data (i32.const 288) "\01\01\00\00\01\00\00\00\02\01\00\00\01\00\00\00\01\01\00\00\01\00\00\00\03\01\00\00\01\00\00\00")
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (call $reading (i32.const 0) (i32.const 1) (i32.const 256) (i32.const 1))
  (i32.store (i32.const 8220) (i32.const 288))
  (i32.store (i32.const 8224) (i32.const 2))
  (call $outcome (i32.const 1) (i32.const 0) (i32.const 0)))
