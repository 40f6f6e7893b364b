;; tick PluginLimitPassed: 1001 readings, more than 1000
;; One reading too much, each of them a good one.
(data (i32.const 256) "1")
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (local $index i32)
  (loop $next
    (call $reading (local.get $index) (i32.const 1) (i32.const 256) (i32.const 1))
    (local.set $index (i32.add (local.get $index) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $index) (i32.const 1001))))
  (call $outcome (i32.const 1001) (i32.const 0) (i32.const 0)))
