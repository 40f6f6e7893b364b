;; tick ok
;; A hundred thousand lines: the host keeps some and counts the rest.
(data (i32.const 256) "again and again and again")
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (local $line i32)
  (loop $next
    (call $write (i32.const 2) (i32.const 256) (i32.const 25))
    (local.set $line (i32.add (local.get $line) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $line) (i32.const 100000))))
  (call $outcome (i32.const 0) (i32.const 0) (i32.const 0)))
