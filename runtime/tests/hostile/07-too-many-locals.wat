;; 50,001 locals of one function.
(module
  (func (local {{50001*i32 }}))
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))
