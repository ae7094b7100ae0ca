;; An offset that is known only when the module runs.
(module
  (global $g i32 (i32.const 0)) (data (global.get $g) "a")
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))
