;; tick PluginTrapped: the last words
;; Complains a hundred thousand times, and then says why it traps.
(data (i32.const 256) "again and again and again")
(data (i32.const 288) "the last words")
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (local $line i32)
  (loop $next
    (call $write (i32.const 2) (i32.const 256) (i32.const 25))
    (local.set $line (i32.add (local.get $line) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $line) (i32.const 100000))))
  (call $write (i32.const 3) (i32.const 288) (i32.const 14))
  unreachable)
