;; A loop without an end uses all gas, and no more.
(module
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (local i32 i64)
    (loop (br 0))
    (i32.const 0)))
