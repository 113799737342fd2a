"""tests/wire/test_presence.py, through nginx."""

from tests.wire.test_presence import *  # noqa: F403

# It takes what one connection has handled for what all have been told: so in one process alone.
del test_all_see_one_order_and_end_with_the_same_list  # noqa: F821
del test_many_join_and_vanish_at_once  # noqa: F821  # a load, and nothing of nginx
