;; 4,679 frames of 112 bytes beneath one of 144 are the most that fit into 524,288.
(module
  (memory (export "memory") 1 2)
  (func $f (param i32)
    (if (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "zapp_main") (param i32 i32) (result i32) (local i32 i64)
    (call $f (i32.const 4678))
    (i32.const 0)))
