;; tick PluginLimitPassed
;; A million readings that are all zeros, so that making them costs nothing.
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (drop (memory.grow (i32.const 560)))
  (call $outcome (i32.const 1000000) (i32.const 0) (i32.const 0)))
