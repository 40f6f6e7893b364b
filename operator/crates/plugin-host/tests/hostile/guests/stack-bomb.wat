;; tick PluginTrapped: stack
;; Calls itself until nothing is left.
(func $deeper (param i32) (result i32) (i32.add (call $deeper (local.get 0)) (i32.const 1)))
(func (export "tollkeeper:meter/meter@0.1.0#measure") (type $measure)
  (call $deeper (i32.const 0)))
