;; tick PluginLimitPassed
;; A state of eight megabytes.
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (drop (memory.grow (i32.const 130)))
  (call $outcome (i32.const 0) (i32.const 0) (i32.const 8388608)))
