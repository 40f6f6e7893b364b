;; tick PluginOutOfMemory
;; Takes a table of a hundred million elements, which is no linear memory and costs as much.
(table $table 1 funcref)
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (drop (table.grow $table (ref.null func) (i32.const 100000000)))
  unreachable)
