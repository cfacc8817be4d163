"""How is the command line started without its script? `python -m approx`."""

from approx.cli import main

if __name__ == "__main__":
    main(prog_name="approx")
