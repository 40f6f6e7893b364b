;; What every hostile guest shares. A guest is the rest of this module: what it exports itself is left out here.
;; Texts of guests lie from 256 on, readings from 8192 on, and what is allocated from 65536 on.
(import "tollkeeper:meter/log@0.1.0" "write" (func $write (param $level i32) (param $text i32) (param $length i32)))
(memory (export "memory") 2)
(data (i32.const 512) "hostile1d{}s")

;; at, seconds, product, config, state, inputs: every text and list is an address and a length. State's length is 8.
(type $measure (func (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))

(global $top (mut i32) (i32.const 65536))

;; Puts a reading of the dimension `d` at its place: a gauge (1) or a counter of the source `s` (0), without tags.
(func $reading (param $index i32) (param $kind i32) (param $text i32) (param $length i32)
  (local $at i32)
  (local.set $at (i32.add (i32.const 8192) (i32.mul (local.get $index) (i32.const 36))))
  (i32.store offset=0 (local.get $at) (i32.const 520))
  (i32.store offset=4 (local.get $at) (i32.const 1))
  (i32.store offset=8 (local.get $at) (local.get $kind))
  (i32.store offset=12 (local.get $at) (local.get $text))
  (i32.store offset=16 (local.get $at) (local.get $length))
  (i32.store offset=20 (local.get $at) (i32.const 523))
  (i32.store offset=24 (local.get $at) (i32.const 1)))

;; The outcome: so many readings, and the state that lies there.
(func $outcome (param $readings i32) (param $state i32) (param $length i32) (result i32)
  (i32.store offset=0 (i32.const 1024) (i32.const 0))
  (i32.store offset=4 (i32.const 1024) (i32.const 8192))
  (i32.store offset=8 (i32.const 1024) (local.get $readings))
  (i32.store offset=12 (i32.const 1024) (local.get $state))
  (i32.store offset=16 (i32.const 1024) (local.get $length))
  (i32.const 1024))
