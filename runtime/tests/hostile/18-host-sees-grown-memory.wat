;; The host reads the memory as it is, not as it was.
(module
  (import "zapp0" "output" (func $output (param i32 i32)))
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (local i32 i64)
    (drop (memory.grow (i32.const 1)))
    (i64.store (i32.const 131064) (i64.const 0x0807060504030201))
    (call $output (i32.const 131064) (i32.const 8))
    (i32.const 0)))
