;; load PluginTimedOut
;; Never even starts.
(func $init (loop $again (br $again)))
(start $init)
