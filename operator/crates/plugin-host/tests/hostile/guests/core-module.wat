;; load InvalidComponent: wasm-tools component new
;; Is no component.
(module)
