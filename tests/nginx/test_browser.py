"""Two windows of the demo page, whose sockets and calls come to either host."""

import pytest

from tests.browser.conftest import browser, chat, open_chat, open_page  # noqa: F401
from tests.browser.test_messages import (  # noqa: F401
    test_a_message_appears_in_both_windows_at_once,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")
