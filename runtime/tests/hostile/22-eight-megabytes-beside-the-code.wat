;; A custom section of 8 MB.
(module
  (@custom "x" "{{8000000*x}}")
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))
