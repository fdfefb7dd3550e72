"""The lint rules, one a module; `grammar.lint.table` names them all."""
