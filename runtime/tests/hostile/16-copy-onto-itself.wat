;; An overlapping copy moves as memmove does.
(module
  (import "zapp0" "output" (func $output (param i32 i32)))
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (local i32 i64)
    (i64.store (i32.const 0) (i64.const 0x0807060504030201))
    (memory.copy (i32.const 2) (i32.const 0) (i32.const 6))
    (call $output (i32.const 0) (i32.const 8))
    (i32.const 0)))
