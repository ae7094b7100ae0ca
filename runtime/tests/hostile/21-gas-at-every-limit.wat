;; A thousand operators with a write among them: at every limit below its price nothing stands.
(module
  (import "zapp0" "set" (func $set (param i32 i32 i32 i32)))
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (local i32 i64)
    {{500*(nop) }}
    (call $set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1))
    {{500*(nop) }}
    (i32.const 0)))
