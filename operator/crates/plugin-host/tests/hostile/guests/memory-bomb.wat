;; tick PluginOutOfMemory
;; Takes a page of memory and then another, for ever.
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (loop $again (drop (memory.grow (i32.const 1))) (br $again))
  unreachable)
