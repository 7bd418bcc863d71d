"""How a study is spread over devices and machines."""
