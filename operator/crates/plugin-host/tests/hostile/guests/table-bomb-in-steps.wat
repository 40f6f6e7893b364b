;; tick PluginOutOfMemory
;; Takes the same in small steps.
(table $table 1 funcref)
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (loop $again (drop (table.grow $table (ref.null func) (i32.const 1000))) (br $again))
  unreachable)
