;; load PluginOutOfMemory
;; Is born with more memory than it may have.
(memory $second 2000)
