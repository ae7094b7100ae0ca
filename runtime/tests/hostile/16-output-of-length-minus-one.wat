;; Four gigabytes of output.
(module
  (import "zapp0" "output" (func $output (param i32 i32)))
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (local i32 i64)
    (call $output (i32.const 0) (i32.const -1))
    (i32.const 0)))
