"""Where claims were published."""

HOMOGENIZED = "Koubbi, Geshkovski and Rigollet 2604.01978, as reported"
BLOCKS = "Agazzi, Bruno, Mosig Garcia, Saviozzi and Romito 2604.26898, as reported"
CLOSURES = "Castin, Ablin, Carrillo and Peyre 2501.18322, as reported"
QUADRATIC = "Engel and Shalova 2603.06187; Shalova 2608.16664, as reported"
