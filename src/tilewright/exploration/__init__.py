"""A search over engines: which of them is best for a network, in several ways at once.

``space``     what may be chosen, and the engine that a choice is
``evaluate``  what one choice costs: compiled, its events run, no value computed
``workers``   one process, several, or a Dask cluster
``search``    asks Optuna for choices and tells it what they cost; a later run goes on
``points``    what a search found
"""
