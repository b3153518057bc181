"""The whole mesh on one machine: five services as processes of one supervisor."""
