;; load UnsupportedInterface: tollkeeper:meter/meter@0.1.0
;; Is a component and no plugin.
(component)
