;; The logical stack ends it, not the machine's.
(module
  (memory (export "memory") 1 2)
  (func $f (call $f))
  (func (export "zapp_main") (param i32 i32) (result i32) (local i32 i64)
    (call $f)
    (i32.const 0)))
