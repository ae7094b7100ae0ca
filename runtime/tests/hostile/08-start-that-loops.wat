;; Code that would run before anything is metered.
(module
  (func $s (loop (br 0))) (start $s)
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))
