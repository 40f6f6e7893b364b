;; tick InvalidOutput
;; A text that is not Unicode.
(data (i32.const 256) "\ff\fe")
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (call $reading (i32.const 0) (i32.const 1) (i32.const 256) (i32.const 2))
  (call $outcome (i32.const 1) (i32.const 0) (i32.const 0)))
