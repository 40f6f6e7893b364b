;; load ForbiddenImport: wasi:http/outgoing-handler@0.2.3
;; Wants to call home.
(component (import "wasi:http/outgoing-handler@0.2.3" (instance)))
