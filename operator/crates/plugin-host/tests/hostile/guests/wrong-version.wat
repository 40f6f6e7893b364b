;; load UnsupportedInterface: tollkeeper:meter/log@0.2.0
;; Was built for an interface that does not exist yet.
(component (import "tollkeeper:meter/log@0.2.0" (instance)))
