;; tick PluginTimedOut
;; Logs for ever: what a line costs the host counts, too.
(data (i32.const 256) "again and again and again")
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (loop $next (call $write (i32.const 1) (i32.const 256) (i32.const 25)) (br $next))
  unreachable)
