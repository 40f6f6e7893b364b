(data (i32.const 256) "1")
(data (i32.const 272) "what is that?")
(data (i32.const 288) "no input")
(data (i32.const 304) "out of order")
(data (i32.const 320) "ABCDEFGH")

;; As the host wants it, with room for all that it gives.
(func (export "cabi_realloc") (param $old i32) (param $had i32) (param $align i32) (param $size i32) (result i32)
  (local $at i32)
  (local $lacking i32)
  (local.set $at
    (i32.and
      (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
  (global.set $top (i32.add (local.get $at) (local.get $size)))
  (local.set $lacking (i32.sub (global.get $top) (i32.shl (memory.size) (i32.const 16))))
  (if (i32.gt_s (local.get $lacking) (i32.const 0))
    (then (drop (memory.grow (i32.add (i32.shr_u (local.get $lacking) (i32.const 16)) (i32.const 16))))))
  (local.get $at))

(func (export "tollkeeper:meter/describe@0.1.0#get-manifest") (result i32)
  ;; describe
  (i32.const 2048))

(func $accepted (result i32) (i32.const 720))
(func $refused (result i32)
  (i32.store (i32.const 736) (i32.const 1))
  (i32.store (i32.const 740) (i32.const 272))
  (i32.store (i32.const 744) (i32.const 13))
  (i32.const 736))
(func (export "tollkeeper:meter/describe@0.1.0#validate-config") (param $text i32) (param $length i32) (result i32)
  ;; validate
  (if (i32.eq (local.get $length) (i32.const 2)) (then (return (call $accepted))))
  (call $refused))

(func $failure (param $kind i32) (param $text i32) (param $length i32) (result i32)
  (i32.store (i32.const 1024) (i32.const 1))
  (i32.store (i32.const 1028) (local.get $kind))
  (i32.store (i32.const 1032) (local.get $text))
  (i32.store (i32.const 1036) (local.get $length))
  (i32.const 1024))
(func $missing (result i32) (call $failure (i32.const 1) (i32.const 288) (i32.const 8)))
(func $internal (result i32) (call $failure (i32.const 2) (i32.const 304) (i32.const 12)))
;; A gauge of 1, and so many of the bytes at 320 as the state.
(func $unit (param $state i32) (result i32)
  (call $reading (i32.const 0) (i32.const 1) (i32.const 256) (i32.const 1))
  (call $outcome (i32.const 1) (i32.const 320) (local.get $state)))

(func (export "tollkeeper:meter/meter@0.1.0#measure")
  (param i32 i32 i32 i32 i32 i32 i32 i32) (param $bytes i32) (param $inputs i32) (param $count i32) (result i32)
  (local $kind i32)
  (local $rows i32)
  (local $value f64)
  ;; Samples, objects, scalar, json, unavailable: 0 to 4.
  (local.set $kind (i32.const -1))
  (if (local.get $count)
    (then
      (local.set $kind (i32.load8_u offset=8 (local.get $inputs)))
      (local.set $rows (i32.load offset=20 (local.get $inputs)))
      (local.set $value (f64.load offset=16 (local.get $inputs)))))
  ;; measure
  (if (i32.or (i32.eq (local.get $kind) (i32.const -1)) (i32.eq (local.get $kind) (i32.const 4)))
    (then (return (call $missing))))
  (call $unit (i32.const 0)))
