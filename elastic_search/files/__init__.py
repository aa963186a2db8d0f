"""Files that people write: TOML to specs and spaces, and back."""

from elastic_search.files.space import SearchSpace as SearchSpace
from elastic_search.files.space import load_space as load_space
from elastic_search.files.space import parse_space as parse_space
from elastic_search.files.space import shipped_spaces as shipped_spaces
from elastic_search.files.spec import dump_spec as dump_spec
from elastic_search.files.spec import load_spec as load_spec
from elastic_search.files.toml import MAX_BYTES as MAX_BYTES
